package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// honest is mail of one customer in one day, each to somebody else and each a letter
// of its own.
type honest struct {
	name string
	one  func(r *rand.Rand, i int) letter
}

var honestSets = []honest{
	{"order confirmations of a shop", order},
	{"appointment reminders of a doctor", reminder},
	{"short mails of an employee, long signature", employee},
	{"answers of few words, long signature", answer},
	{"answers of few words, no signature", bareAnswer},
	{"support replies", support},
	{"invoices by mail, PDF attached", invoice},
	{"\"here is the file\", PDF attached", attached},
	{"personal letters", personalLetter},
	{"quotes of a craftsman", quote},
}

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

// some is n different ones of the list, in random order.
func some(r *rand.Rand, list []string, n int) []string {
	var out []string
	for _, i := range r.Perm(len(list))[:n] {
		out = append(out, list[i])
	}
	return out
}

func amount(r *rand.Rand) string { return fmt.Sprintf("%d,%02d €", 3+r.IntN(200), r.IntN(100)) }

func someone(r *rand.Rand) string {
	family := pseudoWord(r)
	return pick(r, []string{"Mme ", "M. ", pick(r, firstNames) + " "}) + strings.ToUpper(family[:1]) + family[1:]
}

func address(r *rand.Rand) string {
	return fmt.Sprintf("%d %s %s, %05d %s", 1+r.IntN(150), pick(r, []string{"rue", "avenue", "chemin", "place", "boulevard"}), pseudoWord(r), 1000+r.IntN(94000), pseudoWord(r))
}

func order(r *rand.Rand, i int) letter {
	var lines []string
	for _, product := range some(r, products, 1+r.IntN(5)) {
		lines = append(lines, fmt.Sprintf("%d x %s : %s", 1+r.IntN(3), product, amount(r)))
	}
	number := 48210 + i
	return letter{form: htmlOnly, charset: "utf-8", encoding: "quoted-printable", greeting: "Bonjour " + someone(r), subject: fmt.Sprintf("Confirmation de votre commande n° %d", number), text: fmt.Sprintf(`@
Nous vous remercions de votre commande n° %d, que nous préparons avec soin. En voici le récapitulatif :
%s
Frais de port : 4,90 €
Total : %s
Adresse de livraison : %s, %s
Votre colis partira sous deux jours ouvrés. Vous recevrez un message avec le numéro de suivi dès son départ.
-> Suivre ma commande | https://www.epicerie-du-port.example/commande/%x
Pour toute question, répondez à ce message ou appelez-nous au 02 98 44 11 22.
L'Épicerie du port`, number, strings.Join(lines, "\n"), amount(r), someone(r), address(r), r.Uint64())}
}

var products = strings.Split("sardines à l'huile d'olive;rillettes de maquereau;caramels au beurre salé;galettes fines au blé noir;confiture de fraises;miel de bruyère;soupe de poisson;thon blanc au naturel;sel de Guérande;moutarde aux algues;cidre brut fermier;bière ambrée;jus de pomme artisanal;pâté de campagne;palets bretons;kouign-amann;crêpes dentelle;farine de sarrasin;tartare d'algues;velouté de homard;torchon brodé;bol à oreilles;couteau à huîtres;tablier rayé;savon aux algues;carte postale du phare;coffret de trois terrines;huile de colza;vinaigre de cidre;chocolat noir à la fleur de sel", ";")

func reminder(r *rand.Rand, _ int) letter {
	day := pick(r, []string{"lundi", "mardi", "mercredi", "jeudi", "vendredi"})
	return letter{form: plain, charset: "utf-8", encoding: "8bit", greeting: "Bonjour " + someone(r), subject: "Rappel de votre rendez-vous", text: fmt.Sprintf(`@
Nous vous rappelons votre rendez-vous avec le docteur Lemoine le %s %d %s à %d h %02d, au cabinet médical, 12 rue des Lilas.
Merci d'apporter votre carte vitale et vos derniers résultats d'analyses. En cas d'empêchement, prévenez-nous au moins 24 heures à l'avance au 01 42 33 44 55.
Le secrétariat médical`, day, 1+r.IntN(28), pick(r, []string{"novembre", "décembre"}), 8+r.IntN(11), 15*r.IntN(4))}
}

func sentences(r *rand.Rand, list []string, n int) string {
	text := strings.Join(some(r, list, n), " ")
	text = strings.ReplaceAll(text, "#", fmt.Sprint(2+r.IntN(28)))
	for strings.Contains(text, "$") {
		name := pseudoWord(r)
		text = strings.Replace(text, "$", strings.ToUpper(name[:1])+name[1:], 1)
	}
	return text
}

var office = strings.Split("C'est bien noté, merci.;Je vous rappelle demain matin.;Pouvez-vous me renvoyer le plan de l'étage # ?;La réunion de jeudi est déplacée à # h.;Le camion est parti ce midi, il sera chez vous vers # h.;Je n'ai pas reçu le devis de la société $.;Nous avons validé la teinte et le modèle avec $.;Merci de votre retour rapide.;Le chantier commence le # si le temps le permet.;Je suis en déplacement jusqu'au #.;Votre badge est prêt à l'accueil.;Pourriez-vous prévoir # chaises de plus ?;Le fournisseur annonce # jours de retard.;Je transmets votre demande à $ qui vous répondra.;C'est parfait pour nous.;On se retrouve sur place avec $.;J'ai corrigé les cotes sur la vue de face.;Le client préfère finalement le chêne clair.;Avez-vous pu joindre $ ?;Il manque la signature de $ en dernière page.;Je vous envoie les photos dans la journée.;Le stock sera refait semaine #.;L'ascenseur est en panne, passez par la cour.;Bravo pour la présentation d'hier.;Je valide les congés de $ du # au #.;Il faudrait relancer $ pour le permis.;La livraison est complète sauf les vis de #.;Bon courage pour la suite.;Le parking est réservé pour # voitures.;D'accord pour mardi à # h.;Je préfère attendre l'avis de $.;Les clés sont chez la gardienne.;Nous passons de # à # postes.;Le serveur redémarre ce soir.;Vous pouvez lancer la commande.", ";")

const signature = `
Cordialement,
Camille Berthier
Chargée d'affaires - Service des marchés publics
Menuiseries Berthier et fils - 14 zone artisanale des Peupliers - 35300 Fougères
Tél. 02 99 11 22 33 - Portable 06 11 22 33 44 - www.menuiseries-berthier.example
Pensez à l'environnement avant d'imprimer ce courriel.
Ce message et les pièces jointes sont confidentiels et établis à l'intention exclusive de leurs destinataires. Toute utilisation ou diffusion non autorisée est interdite. Tout message électronique est susceptible d'altération. La société décline toute responsabilité au titre de ce message s'il a été altéré, déformé ou falsifié. Si vous n'êtes pas destinataire de ce message, merci de le détruire immédiatement et d'avertir l'expéditeur.
This message and any attachments are confidential and intended solely for the addressees. Any unauthorised use or dissemination is prohibited. E-mails are susceptible to alteration. The company shall not be liable for the message if altered, changed or falsified. If you are not the intended addressee, please delete it and inform the sender immediately.`

func employee(r *rand.Rand, _ int) letter {
	subject := sentences(r, subjects, 1)
	return letter{form: alternative, charset: "utf-8", encoding: "quoted-printable", greeting: pick(r, []string{"Bonjour", "Bonjour " + someone(r)}), subject: pick(r, []string{"Re: ", ""}) + subject, text: "@\n" + sentences(r, office, 1+r.IntN(3)) + signature}
}

var subjects = strings.Split("chantier $;livraison du #;réunion de jeudi;devis $;plan de l'étage #;facture du #;photos;question sur le lot #;congés;rendez-vous chez $;commande de vis;permis de construire $;réserve n° #;visite du #;teinte des volets", ";")

func support(r *rand.Rand, i int) letter {
	ticket := 70310 + 7*i
	return letter{form: plain, charset: "utf-8", encoding: "quoted-printable", greeting: "Bonjour " + someone(r), subject: fmt.Sprintf("[Ticket %d] %s", ticket, sentences(r, troubles, 1)), text: fmt.Sprintf(`@
Merci d'avoir contacté notre service d'assistance au sujet du ticket %d.
%s
N'hésitez pas à répondre à ce message si le problème persiste.
Cordialement,
%s
L'équipe d'assistance de Logiciels Armor - du lundi au vendredi de 9 h à 18 h - 02 96 00 11 22`, ticket, sentences(r, solutions, 2+r.IntN(3)), pick(r, firstNames))}
}

var troubles = strings.Split("impression impossible;mot de passe oublié;écran noir au démarrage;export de la paie;licence expirée;lenteur du poste #;erreur # à l'ouverture;sauvegarde interrompue;scanner non reconnu;déclaration de TVA", ";")

var solutions = strings.Split("Nous avons réinitialisé votre mot de passe, un lien vous a été envoyé à part.;Le pilote de l'imprimante doit être mis à jour en version #, disponible sur le site du constructeur.;Fermez toutes les fenêtres, puis relancez le programme en tant qu'administrateur.;L'erreur vient du certificat du serveur, qui a été renouvelé ce matin.;Pouvez-vous nous envoyer une capture de l'écran au moment où le message apparaît ?;Votre licence a été prolongée de # mois.;La sauvegarde s'arrête parce que le disque externe est plein : supprimez les copies de plus de # jours.;Le champ de la période doit être rempli avant d'ouvrir l'état.;Un technicien prendra la main sur votre poste à # h.;L'antivirus bloque la connexion, ajoutez notre adresse à ses exceptions.;Le taux de TVA se règle dans le menu des paramètres, à la page #.;Cette fonction n'existe pas encore, nous l'avons transmise aux développeurs.;Videz le cache du navigateur et reconnectez-vous.;Le scanner doit être branché directement, sans concentrateur.;Nous vous rembourserons la différence sur la prochaine facture.;La lenteur vient de l'indexation, qui sera terminée dans # heures.;Décochez l'option d'arrondi dans le module de paie.;Le fichier d'import contient # lignes en double.", ";")

func invoice(r *rand.Rand, i int) letter {
	number := fmt.Sprintf("FA-2026-%04d", 311+i)
	return letter{form: alternative, charset: "utf-8", encoding: "quoted-printable", greeting: "Bonjour", subject: "Votre facture " + number, files: []string{fmt.Sprintf("%%PDF-1.4 %d", r.Uint64())}, text: fmt.Sprintf(`@
Veuillez trouver ci-joint votre facture %s du %d novembre 2026, d'un montant de %s TTC, payable à 30 jours par virement.
Nous vous remercions de votre confiance et restons à votre disposition pour tout renseignement.
Cordialement,
Le service comptabilité
Menuiseries Berthier et fils - 02 99 11 22 33`, number, 1+r.IntN(23), amount(r))}
}

func attached(r *rand.Rand, _ int) letter {
	return letter{form: plain, charset: "utf-8", encoding: "8bit", greeting: "Bonjour", subject: pick(r, []string{"Facture", "Document", "Votre dossier", "Re: document"}), files: []string{fmt.Sprintf("%%PDF-1.4 %d", r.Uint64())}, text: "@\nCi-joint le document demandé.\nCordialement,\nPaul"}
}

func quote(r *rand.Rand, i int) letter {
	var lines []string
	for _, work := range some(r, works, 2+r.IntN(4)) {
		lines = append(lines, fmt.Sprintf("- %s : %s", work, amount(r)))
	}
	return letter{form: plain, charset: "utf-8", encoding: "8bit", greeting: "Bonjour " + someone(r), subject: fmt.Sprintf("Devis %d - %s", 900+i, pseudoWord(r)), text: fmt.Sprintf(`@
Suite à notre visite du %d novembre, voici notre proposition pour vos travaux au %s :
%s
Total hors taxes : %s. TVA 10 %%. Ce devis est valable 30 jours. Un acompte de 30 %% est demandé à la commande.
Je reste à votre disposition pour en parler.
Cordialement,
Yann Le Goff, plombier chauffagiste, 06 55 44 33 22`, 1+r.IntN(22), address(r), strings.Join(lines, "\n"), amount(r))}
}

var works = strings.Split("dépose de l'ancienne chaudière;fourniture et pose d'un chauffe-eau de 200 litres;remplacement du mitigeur de la cuisine;création d'une douche à l'italienne;recherche de fuite dans la cave;pose de radiateurs en fonte;raccordement du lave-vaisselle;détartrage complet du circuit;remplacement de la colonne d'évacuation;pose d'un adoucisseur;isolation des tuyaux du garage;installation d'un sèche-serviettes;mise aux normes du compteur de gaz;robinet extérieur pour le jardin;évacuation des gravats", ";")

func personalLetter(r *rand.Rand, _ int) letter {
	return letter{form: plain, charset: "utf-8", encoding: "8bit", greeting: pick(r, []string{"Salut", "Coucou", "Bonjour"}) + " " + pick(r, firstNames), subject: pick(r, []string{"des nouvelles", "ce week-end", "merci !", "photos", "vacances", "anniversaire"}), text: "@\n" + sentences(r, news, 3+r.IntN(6)) + "\nBises,\nMarie"}
}

var news = strings.Split("Nous sommes bien rentrés, malgré les bouchons.;Les enfants ont adoré la plage et le marché du soir.;$ a commencé la guitare, c'est supportable.;On fête les # ans de mamie samedi, tu viens ?;Peux-tu apporter le grand saladier et la nappe bleue ?;Il a gelé cette nuit, j'ai perdu mes derniers géraniums.;J'ai lu le roman dont tu m'avais parlé, quelle fin !;Le train arrive à # h, quelqu'un pourra venir nous chercher ?;Merci pour les confitures, il n'en reste déjà plus.;Le chat de $ a passé trois jours chez nous.;Nous cherchons une location près du lac pour la deuxième quinzaine.;Mon dos va mieux depuis que je nage.;$ a trouvé un stage dans une imprimerie.;La chaudière est réparée, enfin.;Je t'envoie les photos du mariage dès que $ les aura triées.;Est-ce que vous avez des nouvelles de $ ?;On a repeint la chambre du fond en vert.;Je garde la tente jusqu'au printemps.;Le film de mardi était trop long, mais beau.;Ici il pleut depuis # jours.;Tu me diras ce que tu veux pour ton anniversaire.;La voiture n'a pas passé le contrôle.;Appelle-moi quand tu peux, pas trop tard.;J'ai retrouvé ta veste derrière le canapé.;Les pommiers ont donné # kilos cette année.;Papa s'est mis en tête d'élever des abeilles.", ";")

var answers = strings.Split("Merci !;Bien reçu, merci.;C'est parfait.;OK pour moi.;D'accord, à demain.;Je regarde et vous rappelle.;Oui, sans problème.;Non, pas avant jeudi.;Merci pour votre retour.;Parfait, bonne journée.;C'est noté.;Je m'en occupe.;Très bien, merci beaucoup.;Oui.;Voir avec $.;Pas de souci pour mardi.;Je suis d'accord avec $.;Accord donné.;À # h, parfait.", ";")

func answer(r *rand.Rand, _ int) letter {
	l := employee(r, 0)
	l.subject = "Re: " + sentences(r, subjects, 1)
	l.text = "@\n" + sentences(r, answers, 1) + signature
	return l
}

func bareAnswer(r *rand.Rand, i int) letter {
	l := answer(r, i)
	l.text = sentences(r, answers, 1) + "\nCamille"
	return l
}
