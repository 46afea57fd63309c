package main

// In a letter's text "@" alone is the salutation, and "-> words | target" a link.

var french = []letter{
	{name: "colis", form: htmlOnly, charset: "utf-8", encoding: "base64", greeting: "Bonjour", subject: "Votre colis est en attente (réf. 84512)", text: `@
Votre colis n° 84512 n'a pas pu être livré le 21 novembre : personne ne se trouvait à l'adresse indiquée.
Il est conservé dans notre centre de tri jusqu'au 28/11/2026. Pour choisir un nouveau créneau, merci de régler les frais de réexpédition de 1,99 € en ligne.
-> Payer et choisir mon créneau | https://suivi-livraison.example/reprogrammer
Sans réponse de votre part sous 48 heures, le colis sera retourné à son expéditeur.
Le service des livraisons`},
	{name: "lettre d'information", form: alternative, charset: "utf-8", encoding: "quoted-printable", greeting: "Bonjour", subject: "Les nouveautés du jardin en novembre", text: `@
L'automne est la meilleure saison pour planter arbres et arbustes : la terre est encore tiède et les pluies font le travail à votre place.
Au programme de cette lettre : comment préparer le sol avant l'hiver, quels rosiers résistent au gel, et nos conseils pour garder des légumes frais jusqu'en janvier.
-> Lire l'article sur les plantations d'automne | https://www.jardin-facile.example/articles/planter
Notre pépinière vous accueille du mardi au samedi de 9 h à 18 h. Cette semaine, tous les fruitiers en racines nues sont à -20 %, et les bulbes de tulipes sont à 3 € le sachet de dix.
Pensez aussi à protéger vos agrumes avec un voile d'hivernage, disponible en rouleaux de 10 mètres.
-> Voir le catalogue | https://www.jardin-facile.example/catalogue
À très bientôt au jardin,
L'équipe du Jardin facile`},
	{name: "fausse facture", form: plain, charset: "iso-8859-1", encoding: "8bit", greeting: "Madame, Monsieur", subject: "Facture impayée F-20418 - dernier rappel", text: `@
Sauf erreur de notre part, la facture F-20418 d'un montant de 1 284,00 euros reste impayée malgré nos précédents rappels.
Nous vous demandons de procéder au virement sous 48 heures sur notre nouveau compte bancaire, dont les coordonnées figurent sur le document joint, notre banque ayant changé.
A défaut de règlement, le dossier sera transmis à notre service contentieux et des pénalités de retard de 12 % seront appliquées conformément à nos conditions générales de vente.
Veuillez agréer, Madame, Monsieur, nos salutations distinguées.
Service comptabilité clients`},
	{name: "crédit", form: plain, charset: "utf-8", encoding: "8bit", greeting: "Bonjour", subject: "Besoin d'un prêt entre particuliers ?", text: `@
Vous avez besoin d'un financement pour réaliser un projet, rembourser des dettes ou relancer votre activité, et votre banque refuse votre dossier ?
Je suis un particulier qui accorde des prêts allant de 2 000 à 500 000 euros à toute personne sérieuse capable de rembourser, au taux fixe de 3 % l'an, sans frais de dossier ni garantie.
La réponse est donnée en 24 heures et les fonds sont virés sous 72 heures. Indiquez simplement le montant souhaité, la durée du remboursement, votre pays et votre numéro de téléphone.
Contact : pret.serieux@mail-financement.example
Dans l'attente de vous lire.`},
	{name: "prospection", form: plain, charset: "utf-8", encoding: "quoted-printable", greeting: "Bonjour", subject: "Réduire vos factures d'énergie en 2027", text: `@
Je me permets de vous contacter car nous accompagnons des entreprises de votre secteur dans la renégociation de leurs contrats de gaz et d'électricité.
En moyenne, nos clients économisent 18 % dès la première année, sans investissement et sans changer d'installation. Nous comparons les offres de 14 fournisseurs et nous nous occupons de toutes les démarches.
Auriez-vous un quart d'heure la semaine prochaine pour que je vous présente notre méthode ? Vous pouvez réserver directement un créneau dans mon agenda.
-> Réserver un créneau | https://agenda.conseil-energie.example/rdv
Bien cordialement,
Julien Mercier
Conseil Énergie Entreprises - 01 44 55 66 77`},
	{name: "don", form: alternative, charset: "utf-8", encoding: "base64", greeting: "Chère amie, cher ami", subject: "Cet hiver, 3 repas chauds pour 10 euros", text: `@
Chaque soir, nos bénévoles distribuent plus de 1 200 repas chauds dans les rues de la ville. Avec le froid, les familles sont de plus en plus nombreuses à venir frapper à notre porte.
Pour 10 euros, vous offrez trois repas complets. Pour 50 euros, vous mettez une famille à l'abri pendant deux nuits. Votre don ouvre droit à une réduction d'impôt de 75 %.
-> Je fais un don | https://www.soupe-solidaire.example/don
Si vous ne pouvez pas donner, parlez de nous autour de vous : nous cherchons aussi des couvertures, des vêtements chauds et des volontaires pour les maraudes du samedi.
Merci du fond du cœur,
La présidente de Soupe solidaire`},
	{name: "emploi", form: htmlOnly, charset: "utf-8", encoding: "quoted-printable", greeting: "Bonjour", subject: "Travail à domicile : 2 400 € par mois", text: `@
Notre société internationale recrute des assistants administratifs pour un travail à domicile, à temps partiel, sans expérience exigée.
Votre mission : recevoir des paiements de nos clients et les transmettre à nos partenaires, classer les dossiers et répondre à quelques courriels. Comptez une à deux heures par jour.
La rémunération fixe est de 2 400 euros par mois, plus une commission de 5 % sur chaque opération. Le contrat est signé en ligne et le premier salaire est versé après 15 jours.
-> Déposer ma candidature | https://emploi-domicile.example/candidature
Attention, il ne reste que 12 postes dans votre région.`},
	{name: "invitation", form: alternative, charset: "iso-8859-15", encoding: "quoted-printable", greeting: "Bonjour", subject: "Invitation : portes ouvertes le 12 décembre", text: `@
Nous avons le plaisir de vous inviter à nos portes ouvertes le samedi 12 décembre à partir de 14 h 30, au 27 rue des Tanneurs.
Au programme : visite des ateliers, démonstration de reliure et de dorure, exposition des travaux des élèves et vente de carnets au profit de l'association. Un verre de l'amitié sera servi à 18 heures.
L'entrée est libre, mais le nombre de places pour les ateliers est limité à 40 personnes. Merci de vous inscrire avant le 5 décembre.
-> S'inscrire à un atelier | https://www.atelier-reliure.example/inscription
Nous espérons vous y retrouver nombreux, avec vos enfants et vos amis.
Bien à vous,
Le bureau de l'Atelier de reliure`},
	{name: "référencement", form: plain, charset: "utf-8", encoding: "base64", greeting: "Bonjour", subject: "Votre site n'apparaît pas en première page", text: `@
J'ai analysé votre site internet et j'ai relevé plusieurs erreurs qui l'empêchent d'apparaître en première page des moteurs de recherche.
Notre agence propose un forfait de référencement naturel à 149 € par mois : audit technique, optimisation des textes, création de 20 liens de qualité et rapport mensuel de vos positions.
Résultats garantis en 90 jours ou vous êtes remboursé. Plus de 350 entreprises nous font déjà confiance.
Répondez simplement à ce message avec l'adresse de votre site et votre numéro de téléphone : je vous envoie l'audit complet, gratuit et sans engagement.
Cordialement,
Sophie Lambert, consultante en référencement`},
	{name: "compte bloqué", form: htmlOnly, charset: "windows-1252", encoding: "8bit", greeting: "Cher client", subject: "Action requise : votre espace client est suspendu", text: `@
Une connexion inhabituelle a été détectée sur votre espace client le 20/11/2026 à 03:14 depuis un appareil inconnu.
Par mesure de sécurité, vos moyens de paiement ont été suspendus. Pour rétablir l'accès, vous devez confirmer vos informations personnelles et activer notre nouveau service d'authentification.
-> Confirmer mes informations | https://espace-securite.example/verification
Cette opération ne prend que deux minutes. Passé un délai de 24 heures, votre compte sera définitivement fermé et une somme de 35 € vous sera facturée pour sa réouverture.
Votre conseiller, service sécurité`},
}
